import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { PathDescription } from '@mesh/nix';
import { ReferenceCycleError, referencesFirst } from './closure-order.ts';
import { TransferError } from './errors.ts';
import type { ImportItem } from './import/import.ts';
import { type Vouchers, verifiedByPage, verifyPathInfo } from './path-info-verification.ts';
import type { PeerLabel } from './side-channel/nar-connection.ts';
import type { InfoPage } from './store-client.ts';
import type { StoreReader } from './store-reader.ts';

/** What one peer told about the closures of some paths. */
export interface ToldClosure {
  readonly peer: PeerLabel;
  readonly roots: readonly string[];
  readonly pages: readonly InfoPage[];
}

/** Verifications between two turns of the event loop: 64 take about 5 ms. */
const VERIFICATIONS_AT_ONCE = 64;

/**
 * What has to come from this peer for its roots: the missing part of their closures, references first, every info
 * vouched for. Infos that no root leads to are ignored.
 * @throws TransferError TRANSFER_BAD_SIGNATURE, TRANSFER_BAD_PATH_INFO (a circle, or references nobody described)
 */
export async function missingPart(
  told: ToldClosure,
  store: Pick<StoreReader, 'validPaths'>,
  vouchers: Vouchers,
): Promise<ImportItem[]> {
  const { peer } = told;
  const closure = inOrder(told);
  const verified = new Map(told.pages.flatMap((page) => [...verifiedByPage(page, peer, vouchers)]));
  const mentioned = new Set(closure.flatMap((info) => [info.path, ...info.references]));
  const valid = await store.validPaths([...mentioned]);
  const items: ImportItem[] = [];
  const known = new Set(valid);
  for (const info of closure) {
    if (valid.has(info.path)) continue;
    known.add(info.path);
    const absent = info.references.find((reference) => !known.has(reference));
    if (absent !== undefined) {
      throw badPathInfo(peer, info.path, `said nothing about ${absent}, to which ${info.path} refers`);
    }
    const believed = verified.get(info);
    if (believed !== undefined) items.push({ info: believed, peer });
    else {
      items.push({ info: verifyPathInfo(info, peer, vouchers), peer });
      if (items.length % VERIFICATIONS_AT_ONCE === 0) await turnOfTheLoop();
    }
  }
  return items;
}

function inOrder({ peer, roots, pages }: ToldClosure): PathDescription[] {
  const infos = pages.flatMap((page) => page.infos);
  try {
    return referencesFirst(roots, new Map(infos.map((info) => [info.path, info])));
  } catch (error) {
    if (!(error instanceof ReferenceCycleError)) throw error;
    throw badPathInfo(peer, roots[0]!, 'described a closure that refers to itself in a circle');
  }
}

function badPathInfo(peer: PeerLabel, path: string, what: string): TransferError {
  return new TransferError(
    'TRANSFER_BAD_PATH_INFO',
    `${peer.name} ${what}; it is not asked for this path again.`,
    {
      peerId: peer.peerId,
      path,
    },
  );
}
