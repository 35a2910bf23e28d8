/**
 * One spelling per IP address, so that addresses of different origin can be compared as text.
 * @module
 */

const GROUPS = 8;
const HEX_GROUP = /^[0-9a-f]{1,4}$/;
const IPV4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;

/**
 * Canonical spelling of an address: IPv6 as eight lower-case hexadecimal groups without leading zeros and without `::`,
 * a zone (`%eth0`) kept; anything else, IPv4 included, as it is.
 *
 * Source: RFC 4291 §2.2 (spellings of IPv6).
 */
export function canonicalAddress(address: string): string {
  if (!address.includes(":")) return address;
  const percent = address.indexOf("%");
  const zone = percent < 0 ? "" : address.slice(percent);
  const groups = ipv6Groups((percent < 0 ? address : address.slice(0, percent)).toLowerCase());
  return groups === null ? address : groups.join(":") + zone;
}

/** @returns eight groups without leading zeros, or null when it is no IPv6 address */
function ipv6Groups(text: string): string[] | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const missing = GROUPS - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  return [...head, ...Array<string>(missing).fill("0"), ...tail];
}

/** Groups of a run without `::`. @param isLast of the address: then it may end in an IPv4 address, which is two groups */
function groupsOf(run: string, isLast: boolean): string[] | null {
  if (run === "") return [];
  const groups: string[] = [];
  const parts = run.split(":");
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    const ipv4 = isLast && i === parts.length - 1 ? IPV4.exec(part) : null;
    if (ipv4 !== null) {
      const bytes = ipv4.slice(1).map(Number);
      if (bytes.some((byte) => byte > 255)) return null;
      groups.push(((bytes[0]! << 8) | bytes[1]!).toString(16));
      groups.push(((bytes[2]! << 8) | bytes[3]!).toString(16));
    } else if (HEX_GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16).toString(16));
    } else return null;
  }
  return groups;
}
