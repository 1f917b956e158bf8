import { setDefaultTimeout } from "bun:test";
import { plugin } from "bun";

/*
 * Loaded before the tests of every workspace, as its bunfig.toml says. Bun's limit of 5 s would fail tests for how busy the
 * machine is. This one only ends what hangs.
 */
const LIMIT = 300_000;

// Bun reads no limit from bunfig.toml, and forgets this one after each file. So it is set again for each file that is loaded.
plugin({
  name: "time limit",
  setup(build) {
    build.onResolve({ filter: /\.test\.tsx?$/ }, () => {
      setDefaultTimeout(LIMIT);
      return undefined;
    });
  },
});
