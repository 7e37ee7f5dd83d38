export * from './constants.ts';
export * from './home-protocol.ts';
export * from './types.ts';
export { stepWorker } from './worker.ts';
export * from './worker-protocol.ts';
export * from './worker-state.ts';
