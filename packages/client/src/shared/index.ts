export { shared, sharedAs } from "./shared.ts";
