/** A request that publishes one event. */
export interface PublishRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body for this data. */
  body(data: string): string;
}

/** A server under test that runs; stopped when it goes out of scope. */
export interface RunningPeer extends AsyncDisposable {
  /** The processes whose CPU time and memory are the server's. */
  readonly pids: readonly number[];
  /** Where the events of a topic are read, with `accept: text/event-stream`. The body may be in chunks or not. */
  eventsUrl(topic: string): string;
  publish(topic: string): PublishRequest;
  /** Where events are published as JSON, `{topic, data}` or an array of them; null: nowhere. */
  readonly jsonUrl: string | null;
}

/** A server that the scenarios can be run against: a fresh process for each run, on 127.0.0.1. */
export interface Peer {
  readonly name: string;
  /** One line: what it is, and what it does for an event. */
  readonly about: string;
  /** Whether streams can be of different topics; otherwise every stream gets every event. */
  readonly topics: boolean;
  /** Whether events have ids that a client can resume from. */
  readonly resumes: boolean;
  /** True: it takes events and has no streams. Default: it has. */
  readonly publishOnly?: boolean;
  /** Builds what has to be built. Answers why the peer cannot run here, or null when it can. */
  prepare(): Promise<string | null>;
  start(port: number): Promise<RunningPeer>;
}
