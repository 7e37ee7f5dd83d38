/** What was asked of the simulator is wrong, or the simulated mesh did something it must not. */
export class SimulatorError extends Error {
  override readonly name = 'SimulatorError';
  /**
   * `SIMULATOR_USAGE`: bad options. `SIMULATOR_MESH`, `SIMULATOR_GRAPH`: a file or name of one is wrong.
   * `SIMULATOR_STUCK`: nothing is under way and jobs are not done. `SIMULATOR_BROKEN`: a rule of the mesh was broken.
   */
  readonly code:
    | 'SIMULATOR_USAGE'
    | 'SIMULATOR_MESH'
    | 'SIMULATOR_GRAPH'
    | 'SIMULATOR_STUCK'
    | 'SIMULATOR_BROKEN';

  constructor(code: SimulatorError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
