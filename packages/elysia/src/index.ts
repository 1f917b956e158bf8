export { json, OTHER_METHODS, problems, STREAM_PARAMETERS, STREAM_RESPONSES } from "./openapi.ts";
export { sse } from "./plugin.ts";
