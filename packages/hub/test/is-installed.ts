import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Whether the program is in one of the folders where the system looks for programs. */
export function isInstalled(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}
