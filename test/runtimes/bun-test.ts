import { format, inspect } from "node:util";
import { expect as jestExpect } from "expect";

/*
 * What the tests use of `bun:test`, for Node and Deno: they are loaded with this in its place. Each file has a process of its
 * own, as with `bun test --isolate`.
 */

type Work = () => unknown;

/** A group of tests, with what is done before and after them. */
interface Group {
  readonly name: string;
  readonly parent: Group | null;
  readonly isSkipped: boolean;
  readonly before: Work[];
  readonly after: Work[];
  readonly beforeEach: Work[];
  readonly afterEach: Work[];
  readonly members: (Group | Test)[];
}

interface Test {
  readonly name: string;
  readonly work: Work | null;
}

/** What became of a file's tests. */
export interface Outcome {
  passed: number;
  readonly failed: { readonly name: string; readonly error: string }[];
  readonly skipped: string[];
}

/** Only ends what hangs, as in `bun test`. */
const LIMIT = 300_000;

const createGroup = (name: string, parent: Group | null, isSkipped: boolean): Group => ({
  name,
  parent,
  isSkipped,
  before: [],
  after: [],
  beforeEach: [],
  afterEach: [],
  members: [],
});
const root = createGroup("", null, false);
let current = root;

function group(name: string, define: () => void, isSkipped = false): void {
  const own = createGroup(name, current, isSkipped || current.isSkipped);
  current.members.push(own);
  current = own;
  try {
    define();
  } finally {
    current = own.parent!;
  }
}

function add(name: string, work: Work, isSkipped = false): void {
  current.members.push({ name, work: isSkipped || current.isSkipped ? null : work });
}

type Row = readonly unknown[];

/** A title with the values of a row: `%s`, `%p`, `%j` and so on, one for each. */
function titleOf(title: string, row: Row): string {
  const used = title.match(/%[spjid]/g)?.length ?? 0;
  const values = row.slice(0, used).map((value) => (typeof value === "function" ? value.name : value));
  return format(title.replaceAll("%p", "%j"), ...values);
}

function eachOf(define: (name: string, work: Work) => void) {
  return (rows: readonly unknown[]) =>
    (title: string, work: (...row: unknown[]) => unknown): void => {
      for (const row of rows) {
        const values: Row = Array.isArray(row) ? row : [row];
        define(titleOf(title, values), () => work(...values));
      }
    };
}

const describeIf = (isWanted: unknown) => (name: string, define: () => void) =>
  group(name, define, !isWanted);

export const describe = Object.assign((name: string, define: () => void) => group(name, define), {
  each: eachOf((name, define) => group(name, define)),
  if: describeIf,
  skipIf: (isUnwanted: unknown) => describeIf(!isUnwanted),
});

const testIf = (isWanted: unknown) => (name: string, work: Work) => add(name, work, !isWanted);

export const test = Object.assign((name: string, work: Work) => add(name, work), {
  each: eachOf(add),
  if: testIf,
  skipIf: (isUnwanted: unknown) => testIf(!isUnwanted),
});

export const beforeAll = (work: Work): void => void current.before.push(work);
export const afterAll = (work: Work): void => void current.after.push(work);
export const beforeEach = (work: Work): void => void current.beforeEach.push(work);
export const afterEach = (work: Work): void => void current.afterEach.push(work);
export function setDefaultTimeout(): void {}

jestExpect.extend({
  toStartWith: (received: string, start: string) => verdict(received.startsWith(start), received, start),
  toEndWith: (received: string, end: string) => verdict(received.endsWith(end), received, end),
  toBeString: (received: unknown) => verdict(typeof received === "string", received, "a string"),
  toBeTrue: (received: unknown) => verdict(received === true, received, true),
  toBeFalse: (received: unknown) => verdict(received === false, received, false),
});

function verdict(pass: boolean, received: unknown, expected: unknown) {
  return { pass, message: () => format("received %j, expected %j", received, expected) };
}

/** What `bun:test` is given besides, a message, is not told. */
export const expect = Object.assign((received: unknown) => jestExpect(received), jestExpect, {
  unreachable: (): never => {
    throw new Error("this was not to be reached");
  },
});

/** Types are checked where the tests are written. */
export function expectTypeOf(): unknown {
  const anything: unknown = new Proxy(() => {}, { get: () => anything, apply: () => anything });
  return anything;
}

type Method = (this: unknown, ...given: unknown[]) => unknown;

/** Replaces a method, which does what it did until it is given another implementation. */
export function spyOn(target: Record<string, Method>, name: string) {
  const original = target[name]!;
  let implementation = original;
  const spy = {
    mock: { calls: [] as unknown[][] },
    mockImplementation(other: Method) {
      implementation = other;
      return spy;
    },
    mockClear() {
      spy.mock.calls.length = 0;
    },
    mockRestore() {
      target[name] = original;
    },
  };
  target[name] = function (...given) {
    spy.mock.calls.push(given);
    return implementation.apply(this, given);
  };
  return spy;
}

/** In a task of the event loop, and not in a promise's turn: so what a test does at once it can follow with the turns of promises. */
function begin(work: Work): Promise<unknown> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    });
  });
}

async function limited(work: Work): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it has not ended within ${LIMIT} ms`)), LIMIT);
  });
  try {
    await Promise.race([begin(work), late]);
  } finally {
    clearTimeout(timer);
  }
}

function hasWork({ members }: Group): boolean {
  return members.some((member) => ("members" in member ? hasWork(member) : member.work !== null));
}

/** Runs what the file has defined. */
export async function run(): Promise<Outcome> {
  const outcome: Outcome = { passed: 0, failed: [], skipped: [] };
  await runGroup(root, [], outcome);
  return outcome;
}

async function runGroup(own: Group, path: readonly Group[], outcome: Outcome): Promise<void> {
  const groups = [...path, own];
  const nameOf = (name: string): string => [...groups.slice(1).map((each) => each.name), name].join(" > ");
  const attempt = async (name: string, work: () => Promise<void>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      outcome.failed.push({
        name: nameOf(name),
        error: inspect(error),
      });
      return false;
    }
  };
  const isWorking = hasWork(own);
  const isReady =
    !isWorking ||
    (await attempt("(before all)", async () => {
      for (const work of own.before) await limited(work);
    }));
  for (const member of own.members) {
    if ("members" in member) {
      if (isReady) await runGroup(member, groups, outcome);
    } else if (member.work === null) outcome.skipped.push(nameOf(member.name));
    else if (isReady) {
      const { work, name } = member;
      const hasPassed = await attempt(name, async () => {
        for (const each of groups) for (const before of each.beforeEach) await limited(before);
        try {
          await limited(work);
        } finally {
          for (const each of groups.toReversed()) for (const after of each.afterEach) await limited(after);
        }
      });
      if (hasPassed) outcome.passed++;
    }
  }
  if (!isWorking) return;
  await attempt("(after all)", async () => {
    for (const work of own.after) await limited(work);
  });
}
