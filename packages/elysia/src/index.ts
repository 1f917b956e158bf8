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
export { emptyAnswer, jsonAnswer, NOSNIFF } from "./answers.ts";
export { clientAddress } from "./client-address.ts";
export { DEFAULT_TOPIC, events, type EventsOptions } from "./events.ts";
export { fieldNames, type FieldNames, readJson, requireFields } from "./json.ts";
export { otherMethods } from "./other-methods.ts";
export { nearestName } from "./nearest-name.ts";
export { json, OTHER_METHODS, problems, STREAM_PARAMETERS, STREAM_RESPONSES } from "./openapi.ts";
export { requireKnownOrigin } from "./origin.ts";
export { sse, type SseOptions } from "./plugin.ts";
export { problem, type ProblemStatus, Refusal, type RefusalReason } from "./problem.ts";
export type { PublicationParser } from "./publications.ts";
export { publish, type PublishOptions } from "./publish.ts";
export { receive } from "./receive.ts";
export { answerErrors } from "./refuse.ts";
export { BODY_DEFAULTS, type BodyOptions, RequestBodies } from "./request-bodies.ts";
export { STREAM_HEADERS } from "./stream-headers.ts";
