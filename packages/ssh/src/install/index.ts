export { type Bundle, readBundle, writeBundle } from './bundle.ts';
export { PARALLEL_HOSTS } from './constants.ts';
export { InstallError, type InstallErrorCode } from './errors.ts';
export {
  type HostOutcome,
  type HostRun,
  type InstallInit,
  installHost,
  type MeshSide,
  type StepLine,
  uninstallHost,
} from './install-host.ts';
export type { ServiceChoice, StepName } from './install-step.ts';
export { type Platform, treeVersion } from './package-tree.ts';
export { ReleaseSource } from './release-source.ts';
export { type ReleaseEntry, releaseEntries, releaseId } from './release-tree.ts';
