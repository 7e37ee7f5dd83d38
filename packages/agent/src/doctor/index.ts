export { examine } from './examine.ts';
export type { AgentFacts, DoctorFacts } from './facts.ts';
export type { Finding, FindingLevel } from './finding.ts';
export { type GatherInit, gatherFacts } from './gather.ts';
