import type { WorkerInfo } from '@mesh/schedule';
import type { NodeRecord, WorkerMessage } from '@mesh/wire';

type Introduction = Extract<WorkerMessage, { type: 'worker' }>;

/**
 * A worker as its home's decisions see it: what it said on the work stream, and what it left out there as its gossiped record has it.
 */
export function workerInfoOf(
  who: Pick<WorkerInfo, 'peerId' | 'name' | 'isHome'>,
  said: Introduction,
  record: NodeRecord | undefined,
): WorkerInfo {
  return {
    ...who,
    systems: said.systems,
    features: said.systemFeatures,
    mandatoryFeatures: said.mandatoryFeatures,
    delivers: said.delivers,
    slots: said.slots,
    cores: said.cores ?? record?.cores,
    speed: said.speed ?? record?.speed,
    emulated: said.emulated ?? record?.emulated,
    tags: said.tags ?? record?.tags,
    memoryBytes: said.memoryBytes ?? record?.memoryBytes,
    freeMemoryBytes: said.freeMemoryBytes,
    freeDiskBytes: said.freeDiskBytes,
    closed: said.closed,
  };
}
