/**
 * Listening sockets handed over by the parent, in the manner of systemd's socket activation (sd_listen_fds(3)): the old and
 * the new process of a restart accept from the same one, so that no connection is ever refused.
 * @module
 */

/** File descriptors of listening sockets, by the port they stand for. */
export interface InheritedSockets {
  readonly grpc?: number;
  readonly health?: number;
}

/** The first of the descriptors that are handed over. */
const FIRST_FD = 3;
/** In this order where LISTEN_FDNAMES has none of these names. */
const SOCKET_NAMES = ["grpc", "health"] as const;

/**
 * @param env LISTEN_FDS (their number), LISTEN_PID (whom they are for; anyone where it is missing), LISTEN_FDNAMES
 *   (`grpc:health`)
 * @throws Error that names the variable, what it is and what was expected
 */
export function inheritedSockets(env: NodeJS.ProcessEnv, pid: number): InheritedSockets {
  const { LISTEN_FDS: fds, LISTEN_PID: listenPid, LISTEN_FDNAMES: fdNames } = env;
  if (fds === undefined || fds === "") return {};
  if (listenPid !== undefined && listenPid !== String(pid)) return {};
  const count = Number(fds);
  if (!/^\d+$/.test(fds) || count > SOCKET_NAMES.length) {
    throw new Error(
      `LISTEN_FDS: must be 0 to ${SOCKET_NAMES.length} (gRPC and health), got "${fds}"`,
    );
  }
  const sockets: Record<string, number> = {};
  const names = socketNames(fdNames, count);
  for (const [index, name] of names.entries()) {
    if (name in sockets) throw new Error(`LISTEN_FDNAMES: "${name}" is there twice`);
    sockets[name] = FIRST_FD + index;
  }
  return sockets;
}

/** systemd names a socket after its unit where the unit gives no name: then only the order says what it is. */
function socketNames(fdNames: string | undefined, count: number): readonly string[] {
  const names = fdNames === undefined || fdNames === "" ? [] : fdNames.split(":");
  const known = names.filter((name) => (SOCKET_NAMES as readonly string[]).includes(name));
  if (known.length === 0) return SOCKET_NAMES.slice(0, count);
  if (known.length !== count || names.length !== count) {
    throw new Error(
      `LISTEN_FDNAMES: must name ${count} of ${SOCKET_NAMES.join(", ")}, got "${fdNames}"`,
    );
  }
  return known;
}
