/**
 * Hosts on one machine: a LAN of Linux namespaces, each host with its own processes, network, file system, Nix store and
 * nix-daemon. `await using lab = await Lab.up({ hosts: 3 })`.
 *
 * @packageDocumentation
 */
export { type Availability, labAvailable, requireLab, withoutSystemd } from './available.ts';
export {
  type CommandLine,
  type CommandOptions,
  type ExecOptions,
  type ExecResult,
  HostProcess,
} from './command.ts';
export { cpuQuotaAvailable } from './cpu-quota.ts';
export { CommandFailed, LabError, type LabErrorCode } from './errors.ts';
export { Host } from './host.ts';
export { IMAGES, type Image, nixVersionOf } from './images.ts';
export { Lab, type LabOptions } from './lab.ts';
export { LineStream } from './line-stream.ts';
export { memoryLimitAvailable } from './memory-limit.ts';
export { LabMesh, type MeshOptions, type Peers, type Report } from './mesh.ts';
export type { ProcessInfo } from './processes.ts';
export { processorTimeAvailable } from './processor-time.ts';
export { repositoryRoot } from './repository.ts';
export { tracesOf } from './traces.ts';
export { until } from './wait.ts';
