export { type ConnectSshOptions, connectSsh } from './connect-ssh.ts';
export { SshError, type SshErrorCode } from './errors.ts';
export {
  type HostKey,
  hostKeyFingerprint,
  hostKeyOf,
  knownHostsLine,
  parsePinnedHostKey,
} from './known-hosts.ts';
export { type BuilderUri, parseBuilderUri } from './machines/builder-uri.ts';
export {
  type BuilderMachine,
  type Machines,
  type MachineTrouble,
  parseMachines,
} from './machines/machines-file.ts';
export { resolveTarget, type SshOverrides, type SshSurroundings } from './resolve-target.ts';
export { type SshHostKey, sshHostKey } from './server/host-key.ts';
export {
  type AuthorizedKey,
  SshServer,
  type SshServerEvents,
  type SshServerInit,
} from './server/ssh-server.ts';
export type { SshClient, SshRun, SshTarget } from './ssh-client.ts';
export { realSshFiles, type SshFiles } from './ssh-config-files.ts';
export { parseSshName, type SshName } from './ssh-name.ts';
