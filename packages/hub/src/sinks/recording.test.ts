import { RecordingSink } from "../index.ts";
import { sinkContract } from "../testing/sink-contract.ts";

sinkContract("RecordingSink", {
  connect: async (opening) => {
    const sink = new RecordingSink();
    opening.attach(sink);
    return {
      text: () => sink.text,
      ended: () => sink.ended,
      pause: () => sink.stall(),
      resume: () => sink.release(),
      leave: () => sink.vanish(),
    };
  },
});
