import { readFileSync } from 'node:fs';
import type { Host } from '@mesh/lab';
import { DaemonClient, DEFAULT_SOCKET_PATH, type Derivation, parseDerivation } from '@mesh/nix';

/** What a host's own Nix says, asked of its daemon: never what the mesh believes. */
async function ask<T>(host: Host, question: (daemon: DaemonClient) => Promise<T>): Promise<T> {
  const daemon = await DaemonClient.connect({ socketPath: host.root + DEFAULT_SOCKET_PATH });
  try {
    return await question(daemon);
  } finally {
    daemon.close();
  }
}

/** Those of these store paths that a host has. */
export async function validOn(host: Host, paths: readonly string[]): Promise<string[]> {
  const valid = await ask(host, async (daemon) => daemon.queryValidPaths([...paths]));
  return paths.filter((path) => valid.has(path));
}

/** Names of the hosts whose own Nix built this path, as against those that were given it. */
export async function builtOn(hosts: readonly Host[], path: string): Promise<string[]> {
  const infos = await Promise.all(
    hosts.map((host) => ask(host, async (daemon) => daemon.queryPathInfo(path))),
  );
  return hosts.filter((_, index) => infos[index]?.ultimate === true).map((host) => host.name);
}

/** Names of the keys that a host's store has signatures of for this path. */
export async function signersOn(host: Host, path: string): Promise<string[]> {
  const info = await ask(host, async (daemon) => daemon.queryPathInfo(path));
  return (info?.signatures ?? []).map((signature) => signature.slice(0, signature.indexOf(':')));
}

/** A path and all it refers to, as a host's Nix has them. */
export async function closureOn(host: Host, path: string): Promise<string[]> {
  return (await host.exec(['nix-store', '--query', '--requisites', path])).stdout.trim().split('\n');
}

/** Reads a file in a host's store without asking anybody. */
export function readStore(host: Host, path: string): string {
  return readFileSync(host.root + path, 'utf8');
}

export function derivationOn(host: Host, drvPath: string): Derivation {
  return parseDerivation(readFileSync(host.root + drvPath), drvPath);
}

/** Paths of all outputs of a derivation. */
export function outputsOf(host: Host, drvPath: string): string[] {
  return [...derivationOn(host, drvPath).outputs.values()].map(({ path }) => path);
}

/** Paths of all outputs of a derivation as they came out, where the derivation itself does not know them. */
export async function realisedOutputsOf(host: Host, drvPath: string): Promise<string[]> {
  return [...(await ask(host, async (daemon) => daemon.queryDerivationOutputMap(drvPath))).values()];
}

/** Adds lines to a host's `nix.conf`. Before its agent starts, which looks once. */
export async function addNixConf(host: Host, lines: string): Promise<void> {
  const path = '/etc/nix/nix.conf';
  await host.writeFile(path, `${await host.readFile(path)}${lines}`);
  await host.stopDaemon();
  await host.startDaemon();
}

/** Lets a host's Nix offer more system features. Before its agent starts. */
export async function offerFeatures(host: Host, features: string): Promise<void> {
  await addNixConf(host, `extra-system-features = ${features}\n`);
}
