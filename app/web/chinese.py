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
    "the licence has used up its requests of the day": "许可证今日的请求次数已用完",
    "the licence has used up its tokens of the day": "许可证今日的 token 已用完",
    "the licence has spent its budget of the day": "许可证今日的预算已用完",
    "the licence has spent its budget of the month": "许可证本月的预算已用完",
    "the licence has spent its budget": "许可证的预算已用完",
    "the licence has spent its credit": "许可证的试用额度已用完",
    "the time for the licence's credit is over": "许可证的试用额度已过期",
    "what the licence has left is held back for calls that are on their way": (
        "许可证剩余的额度已为正在进行的调用预留"
    ),
    "the price of {model} is not known, and the licence has a limit in money": (
        "{model} 的价格未知，而该许可证设有金额上限"
    ),
    "the platform token holds characters that no header can": "平台 Token 含有请求头无法传送的字符",
    "the platform token is missing: put it in the Authorization header": "缺少平台 Token：请放在 Authorization 请求头中",
    # paths
    "{field} must not be after end_date": "{field} 不能晚于 end_date",
    "{field} must be a day, as 2026-11-29": "{field} 必须是日期，例如 2026-11-29",
    "there is nothing at this path": "该路径不存在",
    "{method} is not allowed here": "此路径不支持 {method} 方法",
    "{platform} does not offer this endpoint": "{platform} 不提供该接口",
    "there is no character {id} here": "这里没有角色 {id}",
    "there is no model {model} here": "这里没有模型 {model}",
    "there is no response {id} here": "此处没有响应 {id}",
    "{field} names a platform but no model": "{field} 只写了平台，没有写模型",
    # bodies
    "the request cannot be read": "无法读取该请求",
    "the head of the request is too large": "请求头过大",
    "the body is too large": "请求体过大",
    "the body is larger than {most} MB": "请求体超过 {most} MB",
    "the body holds more than {most} MB beside its files": "请求体除文件外超过 {most} MB",
    "the body is shorter than its declared length": "请求体比声明的长度短",
    "the body is not valid JSON: {why}": "请求体不是有效的 JSON：{why}",
    "the body must be a JSON object": "请求体必须是一个 JSON 对象",
    "the body has more than {most} values": "请求体中的值超过 {most} 个",
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
    "{field} must be a first picture, or a first and a last": "{field} 必须是首帧图片，或首帧和尾帧两张图片",
    "{field} is larger than {most} MB": "{field} 超过 {most} MB",
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
    # idempotency
    "{field} must be 1 to {most} printable characters of ASCII": "{field} 必须是 1 到 {most} 个可打印的 ASCII 字符",
    "the idempotency key has been used for a call that was not the same": "该幂等键已用于另一个不同的请求",
    "the first call with this idempotency key is not over yet": "使用该幂等键的第一个请求尚未结束",
    "the call with this idempotency key is over, and its answer was too large to be kept": (
        "使用该幂等键的请求已经完成，但其应答过大，未能保留"
    ),
    # model names
    "the model {model} cannot do {wanted}": "模型 {model} 不支持 {wanted}",
    "the model parameter {name} is for remixes only": "模型参数 {name} 只能用于 remix",
    "the platform makes no square films": "该平台不能生成正方形视频",
    "the model {model} has no shape {shape}": "模型 {model} 没有 {shape} 这种画幅",
    "the model {model} has no resolution {resolution}": "模型 {model} 没有 {resolution} 这种分辨率",
    "the platform cannot do what {field} asks for": "该平台无法满足 {field} 的要求",
    "the platform takes no {media_type} here": "该平台在此处不接受 {media_type}",
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
    "a key of the platform has spent its budget, and no other can be used": (
        "该平台的一个密钥已用完其预算，且没有其他可用的密钥"
    ),
    "no key of the platform may give answers of {asked} tokens": (
        "该平台没有密钥允许 {asked} 个 token 的回答"
    ),
    "the request has some {tokens} tokens: that exceeds the maximum context length of every "
    "key of the platform": (
        "请求约有 {tokens} 个 token：超过了该平台所有密钥的最大上下文长度（maximum context length）"
    ),
    "no key of the platform can be used just now": "该平台目前没有可用的密钥",
    "the licence does not cover the group {group}": "许可证不包含分组 {group}",
    "the platform has no key in the group {groups}": "该平台在分组 {groups} 中没有可用的密钥",
    # limits
    "the licence's limit of requests a minute is {most}": "该许可证每分钟最多允许 {most} 次请求",
    "the licence's limit of tokens a minute is {most}": "该许可证每分钟最多允许 {most} 个 token",
    "the licence's limit of calls at a time is {most}": "该许可证同时最多允许 {most} 个调用",
    "the request has some {tokens} tokens: the licence's maximum context length is {most}": (
        "请求约有 {tokens} 个 token：该许可证的最大上下文长度（maximum context length）为 {most}"
    ),
    "the licence allows answers of {most} tokens, and {asked} are asked for": (
        "该许可证允许的最大输出为 {most} 个 token，请求了 {asked} 个"
    ),
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
    "the gateway stops and could not wait for the end of the answer": "网关正在停止，未能等到回答结束",
    "the conversation exceeds the model's maximum context length: {words}": (
        "对话超过了模型的最大上下文长度（maximum context length）：{words}"
    ),
    "the platform has no credential to be called with": "该平台没有可用的密钥",
    "the platform does not accept the credential it is called with": "平台不接受当前使用的密钥",
    "the platform asks for fewer requests": "平台要求降低请求频率",
    "all keys of the platform have reached the limits that are set for them here": (
        "该平台的所有密钥均已达到本网关为其设置的限额"
    ),
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
    "the film is no longer at the platform": "平台上已没有该视频",
    "the platform says that its film is at a place that is not its own": "平台给出的视频地址不属于该平台",
    "the platform's film is behind too many redirects": "平台的视频经过了过多的重定向",
    "the platform made no picture: {words}": "平台没有生成图片：{words}",
    "the platform refuses to make this: {words}": "平台拒绝生成该内容：{words}",
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
    "the platform sent an event that is not JSON": "平台发来的事件不是 JSON",
    "the platform cannot call tools of yours": "该平台无法调用您自己的工具",
    "there is no agent {agent} of yours": "您没有名为 {agent} 的代理",
    "{field}: the operator has not allowed agents to write": "{field}：运营者未允许代理修改代码",
    "{field}: the operator has not allowed this repository": "{field}：运营者未允许使用该仓库",
    "{field}: the platform takes images and texts, but no other files": "{field}：该平台只接受图片和文本，不接受其他文件",
    # media
    "what the platform made is no picture, film or sound": "平台生成的内容不是图片、视频或音频",
    "the file has {size} bytes": "该文件共有 {size} 字节",
    "what the platform made is no {kind}": "平台生成的内容不是 {kind}",
    "what the platform made is empty": "平台生成的内容为空",
    "{field} needs a secret to sign with, and there is none for this licence": (
        "{field} 需要签名密钥，但此许可证没有"
    ),
    "{field} must be an address on the open internet": "{field} 必须是公网地址",
    "the gateway can open no more connections just now": "网关暂时无法建立更多连接",
    "there is no room left for what would be made": "存储空间不足，无法保存将要生成的内容",
    "files cannot be kept just now": "暂时无法保存文件",
    "files are not kept here, so send the file itself": "此处不保存文件，请直接发送文件本身",
    "{field}: files are not kept here, so send the file itself": "{field}：此处不保存文件，请直接发送文件本身",
    "the film is no longer kept here, so nothing can be made of it": "该视频已不再保存，无法继续处理",
    "the form has a field without a usable name": "表单中有字段缺少可用的名称",
    "the form has more than {most} parts": "表单超过 {most} 个部分",
    "the form has no boundary": "表单没有分隔符",
    "the form is damaged": "表单已损坏",
    "the model {model} does not make films": "模型 {model} 不能生成视频",
    "the model {model} does not make pictures": "模型 {model} 不能生成图片",
    "the platform does not show what it made: it breaks the platform's rules": "平台未返回生成的内容：它违反了平台的规则",
    "the platform sent a link that leads elsewhere": "平台返回的链接指向其他主机",
    "the platform sent an answer that makes no sense": "平台的应答无法理解",
    "the platform sent something that is not a picture": "平台返回的内容不是图片",
    "the platform's documented API has nothing that {field} could mean": "该平台的公开接口没有与 {field} 对应的功能",
    "{field} has more than 40 million pixels": "{field} 超过 4000 万像素",
    "{field} is damaged": "{field} 已损坏",
    "{field} is longer than {most} characters": "{field} 超过 {most} 个字符",
    "{field} is not a data URL in base64": "{field} 不是 base64 形式的 data URL",
    "{field} is not of a type that can be used here": "{field} 的类型在此处不可用",
    "{field} must be a file, a link, a data URL or base64": "{field} 必须是文件、链接、data URL 或 base64",
    "{field} must be a whole number from {least} to {most}": "{field} 必须是 {least} 到 {most} 之间的整数",
    "{field} must be from 1:3 to 3:1": "{field} 必须在 1:3 到 3:1 之间",
    "{field} must be like 1024x1024, or auto": "{field} 应形如 1024x1024，或为 auto",
    "{field} must be like 16:9": "{field} 应形如 16:9",
    "{field} must be like 0,3": "{field} 应形如 0,3",
    "{field} must be one of {allowed}": "{field} 必须是以下之一：{allowed}",
    "{field} must be text": "{field} 必须是文本",
    "{field} must be one picture": "{field} 只能是一张图片",
    "{field} has more than {most} entries": "{field} 的条目超过 {most} 个",
    "the platform makes no films with the model {model}: {words}": "平台不能用模型 {model} 生成视频：{words}",
    "{field} must be up to {most} pictures": "{field} 最多为 {most} 张图片",
    "the pictures are no longer kept here": "这些图片已不再保存",
    "{field}: a token of your own is kept nowhere, so nobody could go on without you": "{field}：您自带的令牌不会被保存，因此无法在后台继续",
    "the film is not ready": "视频尚未完成",
    "there is no film: {why}": "没有视频：{why}",
    "the film is no longer kept here": "该视频已不再保存",
    "there is no video {id} here": "此处没有视频 {id}",
    "there is no image task {id} here": "此处没有图片任务 {id}",
    "there is only the film itself here": "此处只提供视频本身",
    "the film can no longer be changed: the key that made it is gone": "该视频已无法修改：生成它的密钥已不存在",
    "the film could not be made: {why}": "视频未能生成：{why}",
    "{field}: there are no square films here": "{field}：此处不能生成方形视频",
    "{field}: this size is for the model {model} alone": "{field}：该尺寸仅适用于模型 {model}",
    "the vendor has retired its films: choose another engine for them, or another server": (
        "供应商已停用其视频接口：请改由其他平台生成，或配置使用同一协议的服务器"
    ),
    # why jobs end
    "the task was cancelled": "任务已取消",
    "the gateway ended while it asked the platform; whether the platform took the job is not known": (
        "网关在请求平台时中断；不清楚平台是否已接受该任务"
    ),
    "the platform did not finish the job in time": "平台未能按时完成任务",
    "the key that the job was begun with is not there any more": "提交该任务时使用的密钥已不存在",
    "the platform does not know the job any more": "平台已找不到该任务",
    "the platform knows no such job": "平台没有该任务",
    "the platform could not make it": "平台未能生成",
    "the platform has given it up": "平台已放弃该任务",
    "the film breaks the rules": "视频违反了平台的规则",
    "the platform has no such endpoint": "平台没有该接口",
    # ours
    "this error was asked for": "这是按要求返回的错误",
    "the gateway could not finish the request": "网关未能完成该请求",
    "the gateway's database cannot be used just now": "网关的数据库暂时不可用",
}
