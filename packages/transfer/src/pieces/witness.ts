/** What a source said a part of a NAR is. */
export interface Witness {
  readonly source: string;
  readonly offset: number;
  readonly bytes: number;
  /** SHA-256; absent where there was only one source then. */
  readonly digest: Uint8Array | undefined;
}
