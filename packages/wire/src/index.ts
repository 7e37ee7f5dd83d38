/** Every message between peers and between command and agent: schemas, codecs, versions, limits. */
export * from './claims.ts';
export * from './control.ts';
export * from './job-event.ts';
export * from './report.ts';
export * from './work.ts';
