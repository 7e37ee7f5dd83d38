export type { SshClient, SshRun, SshTarget } from './ssh-client.ts';
