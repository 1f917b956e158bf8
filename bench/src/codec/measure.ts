/**
 * Measures one variant in a process of its own, so that no variant runs on code that another has made the engine compile.
 * Arguments: decode or encode, the variant's name and the fixture's. Prints the nanoseconds of a pass over it.
 */
import { do_not_optimize, measure } from "mitata";
import { decodeFixtures, encodeFixtures } from "./fixtures.ts";
import { decoders, encoders } from "./variants.ts";

export type Codec = "decode" | "encode";

const CPU_NANOSECONDS = 120e6;
/** Compilers work beside the program: passes before this is over would measure when they get round to it. */
const WARM_UP_MILLISECONDS = 700;

/** The passes over each fixture, by its name. */
const passes: Record<Codec, (variant: string) => Map<string, () => unknown>> = {
  decode(variant) {
    const decode = known(decoders[variant], variant);
    return new Map(
      decodeFixtures().map(({ name, chunks, events }) => [
        name,
        () => {
          let seen = 0;
          let sum = 0;
          decode(chunks, ({ data }) => {
            seen++;
            // Reading one character makes the engine put the text together, as any use of it would.
            sum += data.length + data.charCodeAt(data.length - 1);
          });
          if (seen !== events)
            throw new Error(`${variant} delivered ${seen} of ${events} events of "${name}"`);
          return sum;
        },
      ]),
    );
  },
  encode(variant) {
    const encode = known(encoders[variant], variant);
    const utf8 = new TextEncoder();
    const wire = new Uint8Array(1024 * 1024);
    return new Map(
      encodeFixtures().map(({ name, messages }) => [
        name,
        () => {
          let sum = 0;
          // Writing the bytes out is part of the pass: a concatenated string costs nothing until it is used.
          for (const message of messages) sum += utf8.encodeInto(encode(message), wire).written;
          return sum;
        },
      ]),
    );
  },
};

function known<T>(variant: T | undefined, name: string): T {
  if (variant === undefined) throw new Error(`There is no variant or fixture "${name}"`);
  return variant;
}

const [codec, variant = "", fixture = ""] = process.argv.slice(2);
if (codec !== "decode" && codec !== "encode") {
  throw new Error(`Expected "decode" or "encode", got "${codec}"`);
}

const pass = known(passes[codec](variant).get(fixture), fixture);
for (const end = performance.now() + WARM_UP_MILLISECONDS; performance.now() < end;) do_not_optimize(pass());
const { p50 } = await measure(() => do_not_optimize(pass()), { min_cpu_time: CPU_NANOSECONDS });
console.log(JSON.stringify(p50));
