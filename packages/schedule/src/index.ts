export * from './home-protocol.ts';
export * from './types.ts';
export * from './worker-protocol.ts';
