/** Every message between peers and between command and agent: schemas, codecs, versions, limits. */
export * from './cache-control.ts';
export * from './claims.ts';
export * from './codec.ts';
export * from './control.ts';
export * from './frame.ts';
export * from './gossip.ts';
export * from './hello.ts';
export * from './history.ts';
export * from './job-event.ts';
export * from './join.ts';
export * from './node-record.ts';
export * from './protocol.ts';
export * from './report.ts';
export * from './signed.ts';
export * from './store.ts';
export * from './wire-error.ts';
export * from './work.ts';
