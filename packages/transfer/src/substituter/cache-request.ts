import { isHashPart } from '@mesh/nix';
import { MAX_URL_CHARS } from './constants.ts';

/** What an HTTP request asks of a binary cache. */
export type CacheRequest =
  | { readonly kind: 'cache-info' }
  | { readonly kind: 'narinfo'; readonly hashPart: string }
  /** `narHash`: 52 digits of Nix base-32. */
  | { readonly kind: 'nar'; readonly hashPart: string; readonly narHash: string }
  /** Well-formed, and nothing here has that name (build logs, listings, realisations). */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'refused'; readonly status: 400 | 403 | 405 | 414; readonly reason: string };

/** The request line and the `Host` header. */
export interface RequestHead {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly host: string | undefined;
}

/**
 * Reads a request. Only names of loopback are answered: a web page whose name was made to resolve to 127.0.0.1 would otherwise read the
 * cache through its visitor's browser.
 */
export function readCacheRequest({ method, url = '', host }: RequestHead): CacheRequest {
  if (host === undefined || !isLoopback(host)) return refused(403, 'ask for 127.0.0.1');
  if (method !== 'GET' && method !== 'HEAD') return refused(405, 'GET and HEAD only');
  if (url.length > MAX_URL_CHARS) return refused(414, 'the URL is too long');
  if (!url.startsWith('/')) return refused(400, 'the URL must be a path');
  if (url === '/nix-cache-info') return { kind: 'cache-info' };
  const [, narInfo] = /^\/([^/]{32})\.narinfo$/.exec(url) ?? [];
  if (narInfo !== undefined && isHashPart(narInfo)) return { kind: 'narinfo', hashPart: narInfo };
  const [, hashPart = '', narHash = ''] = /^\/nar\/([^/-]{32})-([0-9a-df-np-sv-z]{52})\.nar$/.exec(url) ?? [];
  return isHashPart(hashPart) ? { kind: 'nar', hashPart, narHash } : { kind: 'unknown' };
}

/** Where the NAR of a path is, relative to the cache: the reverse of {@link readCacheRequest}. */
export function narUrl(hashPart: string, narHash: string): string {
  return `nar/${hashPart}-${narHash}.nar`;
}

function isLoopback(host: string): boolean {
  return /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/i.test(host);
}

function refused(status: 400 | 403 | 405 | 414, reason: string): CacheRequest {
  return { kind: 'refused', status, reason };
}
