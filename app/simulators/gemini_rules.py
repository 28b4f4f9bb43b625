"""What generateContent accepts, as tables: a message per table, in the vendor's nesting.

These look at one place at a time. What depends on the model, or on several places at once, is in
`gemini_limits` and `gemini_turns`. A field that is in no table is refused, as by the vendor.
"""

from __future__ import annotations

from typing import Any

from app.simulators.gemini_checks import (
    Reader,
    anything,
    boolean,
    duration,
    encoded,
    enum,
    free,
    integer,
    keyed,
    message,
    real,
    repeated,
    string,
)

DATA = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "audioTranscription",
)
_level = enum(
    "PartMediaResolution.Level",
    "MEDIA_RESOLUTION_LOW",
    "MEDIA_RESOLUTION_MEDIUM",
    "MEDIA_RESOLUTION_HIGH",
    "MEDIA_RESOLUTION_ULTRA_HIGH",
)
_blob = message({"mimeType": string, "data": encoded}, required=("mimeType", "data"))
_named_blob = message(
    {"mimeType": string, "data": encoded, "displayName": string}, required=("mimeType", "data")
)
_server_tool = enum(
    "ToolType",
    "GOOGLE_SEARCH_WEB",
    "GOOGLE_SEARCH_IMAGE",
    "URL_CONTEXT",
    "GOOGLE_MAPS",
    "FILE_SEARCH",
)
PART = message(
    {
        "text": string,
        "inlineData": _blob,
        "fileData": message({"fileUri": string, "mimeType": string}, required=("fileUri",)),
        "functionCall": message({"id": string, "name": string, "args": free}, required=("name",)),
        "functionResponse": message(
            {
                "id": string,
                "name": string,
                "response": free,
                "parts": repeated(message({"inlineData": _named_blob})),
                "willContinue": boolean,
                "scheduling": enum("Scheduling", "SILENT", "WHEN_IDLE", "INTERRUPT"),
            },
            required=("name", "response"),
        ),
        "executableCode": message(
            {"language": enum("Language", "PYTHON"), "code": string, "id": string}
        ),
        "codeExecutionResult": message(
            {
                "outcome": enum(
                    "Outcome", "OUTCOME_OK", "OUTCOME_FAILED", "OUTCOME_DEADLINE_EXCEEDED"
                ),
                "output": string,
                "id": string,
            }
        ),
        "toolCall": message({"id": string, "toolType": _server_tool, "args": free}),
        "toolResponse": message({"id": string, "toolType": _server_tool, "response": free}),
        "audioTranscription": free,
        "thought": boolean,
        "thoughtSignature": encoded,
        "videoMetadata": message({"startOffset": duration, "endOffset": duration, "fps": real}),
        "mediaResolution": message({"level": _level}),
        "partMetadata": free,
    },
    oneof=DATA,
)
CONTENT = message({"role": string, "parts": repeated(PART)})

_schema_fields: dict[str, Reader] = {
    "type": enum("Type", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"),
    "format": string,
    "title": string,
    "description": string,
    "nullable": boolean,
    "enum": repeated(string),
    "minItems": integer,
    "maxItems": integer,
    "required": repeated(string),
    "minProperties": integer,
    "maxProperties": integer,
    "minLength": integer,
    "maxLength": integer,
    "pattern": string,
    "propertyOrdering": repeated(string),
    "default": anything,
    "example": anything,
    "minimum": real,
    "maximum": real,
}
SCHEMA = message(_schema_fields)


def _schema(value: Any, at: str) -> Any:
    return SCHEMA(value, at)


_schema_fields |= {
    "items": _schema,
    "properties": keyed(_schema),
    "anyOf": repeated(_schema),
}

_declaration = message(
    {
        "name": string,
        "description": string,
        "parameters": SCHEMA,
        "parametersJsonSchema": anything,
        "response": SCHEMA,
        "responseJsonSchema": anything,
        "behavior": enum("Behavior", "BLOCKING", "NON_BLOCKING"),
    },
    required=("name",),
)
_interval = message({"startTime": string, "endTime": string})
BUILT_IN: dict[str, Reader] = {
    "googleSearch": message({"searchTypes": free, "timeRangeFilter": _interval}),
    "googleSearchRetrieval": free,
    "urlContext": message({}),
    "codeExecution": message({}),
    "googleMaps": message({"enableWidget": boolean}),
    "fileSearch": message(
        {"fileSearchStoreNames": repeated(string), "topK": integer, "metadataFilter": string}
    ),
    "computerUse": message(
        {
            "environment": enum("Environment", "ENVIRONMENT_BROWSER"),
            "excludedPredefinedFunctions": repeated(string),
        }
    ),
    "mcpServers": repeated(free),
}
_tool = message({"functionDeclarations": repeated(_declaration), **BUILT_IN})
_tool_config = message(
    {
        "functionCallingConfig": message(
            {
                "mode": enum("Mode", "AUTO", "ANY", "NONE", "VALIDATED"),
                "allowedFunctionNames": repeated(string),
            }
        ),
        "retrievalConfig": message(
            {"latLng": message({"latitude": real, "longitude": real}), "languageCode": string}
        ),
        "includeServerSideToolInvocations": boolean,
    }
)
_category = enum(
    "HarmCategory",
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
)
_threshold = enum(
    "HarmBlockThreshold",
    "BLOCK_LOW_AND_ABOVE",
    "BLOCK_MEDIUM_AND_ABOVE",
    "BLOCK_ONLY_HIGH",
    "BLOCK_NONE",
    "OFF",
)
_prebuilt = message({"voiceName": string})
_voice = message({"prebuiltVoiceConfig": _prebuilt})
_speakers = message(
    {"speakerVoiceConfigs": repeated(message({"speaker": string, "voiceConfig": _voice}))}
)
_generation_config = message(
    {
        "stopSequences": repeated(string),
        "responseMimeType": string,
        "responseSchema": SCHEMA,
        "responseJsonSchema": anything,
        "responseModalities": repeated(enum("Modality", "TEXT", "IMAGE", "AUDIO", "VIDEO")),
        "candidateCount": integer,
        "maxOutputTokens": integer,
        "temperature": real,
        "topP": real,
        "topK": real,
        "seed": integer,
        "presencePenalty": real,
        "frequencyPenalty": real,
        "responseLogprobs": boolean,
        "logprobs": integer,
        "speechConfig": message(
            {"voiceConfig": _voice, "multiSpeakerVoiceConfig": _speakers, "languageCode": string}
        ),
        "thinkingConfig": message(
            {
                "includeThoughts": boolean,
                "thinkingLevel": enum("ThinkingLevel", "MINIMAL", "LOW", "MEDIUM", "HIGH"),
                "thinkingBudget": integer,
            }
        ),
        "imageConfig": message({"aspectRatio": string, "imageSize": string}),
        "mediaResolution": enum(
            "MediaResolution",
            "MEDIA_RESOLUTION_LOW",
            "MEDIA_RESOLUTION_MEDIUM",
            "MEDIA_RESOLUTION_HIGH",
        ),
        "enableEnhancedCivicAnswers": boolean,
    }
)
_request: dict[str, Reader] = {
    "contents": repeated(CONTENT),
    "systemInstruction": CONTENT,
    "tools": repeated(_tool),
    "toolConfig": _tool_config,
    "safetySettings": repeated(
        message({"category": _category, "threshold": _threshold}, required=("category",))
    ),
    "generationConfig": _generation_config,
    "cachedContent": string,
    "serviceTier": enum("ServiceTier", "standard", "flex", "priority"),
    "store": boolean,
    "continuationToken": encoded,
}
REQUEST = message(_request)
COUNT = message(
    {
        "contents": repeated(CONTENT),
        "generateContentRequest": message({**_request, "model": string}, required=("model",)),
    }
)
