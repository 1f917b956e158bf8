export { Admission, type AdmissionOptions, type Overload } from "./admission.ts";
export {
  type Access,
  accessOf,
  type Authorize,
  type Grant,
  requireAdmin,
  requirePublish,
  unauthorized,
  withAccess,
} from "./auth/access.ts";
export { createAuthorize, type CredentialOptions } from "./auth/credentials.ts";
export { createJwtVerifier, type JwtOptions } from "./auth/jwt.ts";
export { type JwtKey, readKey, secretKey } from "./auth/jwt-key.ts";
export { localOnly } from "./auth/local-only.ts";
export { mintToken, type MintOptions } from "./auth/mint.ts";
export { type RemoteKeyOptions, remoteKeys } from "./auth/remote-keys.ts";
export { readTokens, type StaticToken } from "./auth/static-tokens.ts";
export { TICKET_DEFAULTS, type TicketOptions, Tickets } from "./auth/tickets.ts";
export { emptyAnswer, jsonAnswer, NOSNIFF } from "./answers/json.ts";
export { clientAddress } from "./request/client-address.ts";
export { DEFAULT_TOPIC, openStream, type StreamOptions } from "./routes/stream.ts";
export { fieldNames, type FieldNames, readJson, requireFields } from "./request/json.ts";
export { otherMethods } from "./routes/other-methods.ts";
export { nearestName } from "./request/nearest-name.ts";
export { requireKnownOrigin } from "./request/origin.ts";
export { problem, type ProblemStatus, Refusal, type RefusalReason } from "./answers/problem.ts";
export type { PublicationParser } from "./request/publications.ts";
export { publish, type PublishOptions } from "./routes/publish.ts";
export { receive } from "./request/receive.ts";
export { answerErrors } from "./answers/refuse.ts";
export { BODY_DEFAULTS, type BodyOptions, RequestBodies } from "./request/request-bodies.ts";
export { STREAM_HEADERS } from "./answers/stream-headers.ts";
export {
  type BunServer,
  contextOf,
  type DenoInfo,
  type RequestContext,
  type ServerContext,
  UNKNOWN,
} from "./context.ts";
export { events, type EventsOptions } from "./events.ts";
export { createHandler, type Handler, type HandlerOptions, type SseOptions } from "./handler.ts";
export { drain } from "./routes/drain.ts";
export { healthz, readyz, stats } from "./routes/state.ts";
export { issueTicket } from "./routes/tickets.ts";
