import type { Logger } from '@mesh/net';
import type { UploadConfig } from './worker/upload-limit.ts';

export interface AgentInit {
  stateDir?: string;
  socketDir?: string;
  /** Served too, unless another agent is there already. */
  defaultSocketDir?: string;
  name?: string;
  listenPort?: number;
  /** TCP port of the data plane; 0 for any free one. */
  transferPort?: number;
  /** Agents to call: names, IP addresses or multiaddrs. */
  peers?: string[];
  mdns?: boolean;
  slots?: number;
  /** Takes the place of the configuration file's. */
  upload?: UploadConfig;
  /** Serve the local API on its sockets; a command that brings its own agent does not. */
  serveControl: boolean;
  /** Serve the binary cache to this machine's Nix; an agent that lives for one build does not. */
  serveCache?: boolean;
  /** Serve `nix.sock` to this machine's Nix; an agent that lives for one build does not. */
  serveNix?: boolean;
  logger?: Logger;
  /** Path of nix-daemon's socket, where it is not the usual one. */
  daemonSocket?: string;
}
