export { type ContractRetention, logContract, type LogUnderTest, newEvent } from "./log-contract.ts";
export { ManualClock } from "./manual-clock.ts";
export { RecordedOpening, type SinkClient, sinkContract, type SinkUnderTest } from "./sink-contract.ts";
