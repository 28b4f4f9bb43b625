"""Our messages in Chinese, by their English templates. A test looks for messages that are missing
here.
"""

from __future__ import annotations

CHINESE: dict[str, str] = {
    # access
    "a licence is required: put it in the Authorization header": "缺少许可证：请放在 Authorization 请求头中",
    "send one licence, not a list of several": "只能发送一个许可证，不能是用逗号分隔的多个",
    "the licence is not valid": "许可证无效",
    "the licence has expired or was revoked": "许可证已过期或已被吊销",
    "the licence does not cover the platform {platform}": "该许可证不包含平台 {platform}",
    "the licence does not cover the model {model}": "该许可证不包含模型 {model}",
    "the platform token is missing: put it in the Authorization header": "缺少平台 Token：请放在 Authorization 请求头中",
    # paths
    "there is nothing at this path": "该路径不存在",
    "{method} is not allowed here": "此路径不支持 {method} 方法",
    "{platform} does not offer this endpoint": "{platform} 不提供该接口",
    "there is no model {model} here": "这里没有模型 {model}",
    "{field} names a platform but no model": "{field} 只写了平台，没有写模型",
    # bodies
    "the request cannot be read": "无法读取该请求",
    "the head of the request is too large": "请求头过大",
    "the body is too large": "请求体过大",
    "the body is larger than {most} MB": "请求体超过 {most} MB",
    "the body is shorter than its declared length": "请求体比声明的长度短",
    "the body is not valid JSON: {why}": "请求体不是有效的 JSON：{why}",
    "the body must be a JSON object": "请求体必须是一个 JSON 对象",
    "the body is nested more than {most} levels deep": "请求体嵌套超过 {most} 层",
    "a body with content coding {coding} is not read here": "不支持 {coding} 编码的请求体",
    "{field} is given twice": "{field} 出现了两次",
    # fields
    "{field} is required": "缺少 {field}",
    "{field} is empty": "{field} 为空",
    "{field} has too many entries": "{field} 的条目过多",
    "{field} must not be empty": "{field} 不能为空",
    "{field} must be a string": "{field} 必须是字符串",
    "{field} must be a number": "{field} 必须是数字",
    "{field} is too large": "{field} 过大",
    "{field} must be a whole number from 1 to {most}": "{field} 必须是 1 到 {most} 之间的整数",
    "{field} names no entry of this list": "{field} 不是此列表中的条目",
    "{field} must be a whole number": "{field} 必须是整数",
    "{field} must be a whole number from 0 to {most}": "{field} 必须是 0 到 {most} 之间的整数",
    "{field} must be at least {least}": "{field} 不能小于 {least}",
    "{field} must be true or false": "{field} 必须是 true 或 false",
    "{field} must be a string or an array": "{field} 必须是字符串或数组",
    "{field} must be an array": "{field} 必须是数组",
    "{field} must be an array of objects": "{field} 必须是对象数组",
    "{field} must be an object": "{field} 必须是对象",
    "{field} must be one of {choices}": "{field} 必须是以下之一：{choices}",
    "{field} must be 1 here: the platform gives one answer a call": "此处 {field} 只能为 1：该平台每次调用只给出一个回答",
    "{field} is known only to the platform that stored it; send the conversation": (
        "{field} 只有保存它的平台才认识；请发送完整对话"
    ),
    "{field}: a part of type {kind} is not supported here": "{field}：此处不支持 {kind} 类型的内容",
    "{field}: an item of type {kind} is not supported here": "{field}：此处不支持 {kind} 类型的条目",
    "{field}: an item_reference is only understood where the response is stored; send the item": (
        "{field}：只有保存该响应的平台才能解析 item_reference；请发送条目本身"
    ),
    "{field} is nested too deeply": "{field} 嵌套过深",
    "the calls {calls} have no result in the message that follows": "工具调用 {calls} 在下一条消息中没有结果",
    "the results {calls} answer no call in the message before": "工具结果 {calls} 在前一条消息中没有对应的调用",
    "the platform has no room for {fields}: leave that out, or call without strict": (
        "该平台不支持 {fields}：请去掉，或不使用 strict"
    ),
    # model names
    "{name} is not a parameter of the model {model}": "{name} 不是模型 {model} 的参数",
    "the model parameters {one} and {other} exclude each other": "模型参数 {one} 与 {other} 不能同时使用",
    "the platform's documented API has nothing that the model parameter {name} could mean": (
        "该平台的公开接口没有与模型参数 {name} 对应的功能"
    ),
    "groups are written behind the model as |[group] or |[group,group]": (
        "分组写在模型名之后：|[分组] 或 |[分组,分组]"
    ),
    "{field} must be a list of groups": "{field} 必须是以逗号分隔的分组",
    "there is no group {group} here": "没有名为 {group} 的分组",
    "the platform has no key in the group {groups}": "该平台在分组 {groups} 中没有可用的密钥",
    # attachments
    "{field} is not valid base64": "{field} 不是有效的 base64",
    "{field} must be a base64 data URL": "{field} 必须是 base64 的 data URL",
    "{field}: the platform takes images and documents, but no sound": "{field}：该平台接受图片和文档，不接受音频",
    "{field}: only http, https and data addresses are taken": "{field}：只接受 http、https 和 data 地址",
    "{field} is neither an address nor a file of a known type": "{field} 既不是网址，也不是已知类型的文件",
    "{field}: a file stored with another platform cannot be used here": "{field}：不能使用保存在其他平台上的文件",
    "the address could not be used": "无法使用该网址",
    "a request may name at most {most} addresses": "一个请求最多包含 {most} 个网址",
    "the file at the address is larger than {megabytes} MB": "网址所指的文件超过 {megabytes} MB",
    "the file at the address is not of a type that can be used here": "网址所指的文件类型无法使用",
    "the files at the addresses in the request are too large together": "请求中各网址所指的文件合计过大",
    "the image at the address has more than 40 million pixels": "网址所指的图片超过 4000 万像素",
    "the image at the address is damaged": "网址所指的图片已损坏",
    # platforms
    "{words}": "{words}",
    "the caller hung up": "调用方已断开连接",
    "the conversation exceeds the model's maximum context length: {words}": (
        "对话超过了模型的最大上下文长度（maximum context length）：{words}"
    ),
    "the platform has no credential to be called with": "该平台没有可用的密钥",
    "the platform does not accept the credential it is called with": "平台不接受当前使用的密钥",
    "the platform asks for fewer requests": "平台要求降低请求频率",
    "the platform answered with status {status}": "平台返回了状态码 {status}",
    "the platform refused the request with status {status}": "平台拒绝了该请求，状态码 {status}",
    "the platform does not know the model {model}: {words}": "平台没有模型 {model}：{words}",
    "the platform broke off with an error: {words}": "平台中途报错：{words}",
    "the platform cannot be reached": "无法连接到平台",
    "the platform closed the connection without an answer": "平台没有应答就关闭了连接",
    "the platform fell silent in the middle of its answer": "平台在应答中途停止了输出",
    "the platform took too long to answer": "平台应答超时",
    "the platform gave an empty answer": "平台给出了空的回答",
    "the platform has not finished its answer": "平台还没有完成回答",
    "the platform's answer ended before it was complete": "平台的应答在完成之前就中断了",
    "the platform's answer broke off in its head": "平台的应答在头部中断",
    "the platform's answer goes on for too long": "平台的应答持续时间过长",
    "the platform's answer is too large": "平台的应答过大",
    "the platform's answer is not HTTP": "平台的应答不是 HTTP",
    "the platform's answer cannot be decompressed": "平台的应答无法解压",
    "the platform's answer has a chunk that cannot be read": "平台的应答中有无法读取的分块",
    "the platform's answer has a coding that is not read here": "平台的应答使用了不支持的编码",
    "the platform's answer has a head that is too long": "平台的应答头部过长",
    "the platform's answer has a header that cannot be read": "平台的应答中有无法读取的头字段",
    "the platform's answer has a length that cannot be read": "平台的应答长度无法读取",
    "the platform's answer has too many headers": "平台的应答头字段过多",
    "the platform's answer has two lengths": "平台的应答给出了两个长度",
    "the platform's answer has trailers that do not end": "平台的应答尾部没有结束",
    "the platform's answer is not one": "平台返回的不是有效的应答",
    "the platform's certificate is not valid": "平台的证书无效",
    "the platform sent an answer that cannot be read": "平台的应答无法解析",
    "the platform sent an answer that is not JSON": "平台的应答不是 JSON",
    "the platform sent an event that cannot be read": "平台发来了无法解析的事件",
    "the platform sent an event of more than {limit} bytes": "平台发来的单个事件超过 {limit} 字节",
    "the platform added to a block that is not open": "平台的事件顺序有误：向未打开的内容块追加内容",
    "the platform added to a call that is not open": "平台的事件顺序有误：向未打开的调用追加内容",
    "the platform ended its answer inside a block": "平台的事件顺序有误：在内容块中途结束应答",
    "the platform opened a block inside another": "平台的事件顺序有误：内容块相互嵌套",
    "the platform opened a block twice": "平台的事件顺序有误：重复打开内容块",
    "the platform spoke before it started": "平台的事件顺序有误：在开始之前输出内容",
    "the platform spoke of a block that is not open": "平台的事件顺序有误：提到未打开的内容块",
    "the platform started its answer twice": "平台的事件顺序有误：重复开始应答",
    "the platform went on after the end of its answer": "平台的事件顺序有误：在应答结束后继续输出",
    # ours
    "the gateway could not finish the request": "网关未能完成该请求",
    "the gateway's database cannot be used just now": "网关的数据库暂时不可用",
}
