import { type DaemonPool, fingerprintOf, type PathInfo, type SigningKey } from '@mesh/nix';

/**
 * Signs paths of the own store with the machine's key and keeps the signatures in Nix's database, so that they travel
 * with the paths wherever Nix takes them.
 * @returns the infos with the signature, in the order asked; paths that are not valid are left out
 */
export function signOutputs(
  paths: readonly string[],
  { daemon, signingKey }: { readonly daemon: DaemonPool; readonly signingKey: SigningKey },
): Promise<PathInfo[]> {
  return daemon.use(async (client) => {
    const infos = await client.queryPathInfos(paths);
    const signed: PathInfo[] = [];
    for (const path of paths) {
      const info = infos.get(path);
      if (info === undefined) continue;
      const signature = signingKey.sign(fingerprintOf(info));
      if (info.signatures.includes(signature)) signed.push(info);
      else {
        await client.addSignatures(path, [signature]);
        signed.push({ ...info, signatures: [...info.signatures, signature] });
      }
    }
    return signed;
  });
}
