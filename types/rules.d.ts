// The table as text.

import type { CallOptions } from './ipvs.js'

/** The last argument of {@link Rules.restore} and {@link Rules.restoreFromFile}. */
export interface RestoreOptions extends CallOptions {
  /**
   * Whether what the text does not name goes. With `false` it stays, and what is there already gets
   * the settings of the text. Default `true`, as ipvsadm-restore(8).
   */
  readonly clear?: boolean | undefined
}

/**
 * Rules: the table in the words of ipvsadm(8), a command a line, as ipvsadm-save(8) and
 * ipvsadm-restore(8) write and read it.
 */
export interface Rules {
  /**
   * The table as `ipvsadm-save -n` writes it: byte for byte where that loses nothing, and besides with
   * the thresholds of destinations (`-x`, `-y`), with fwmarks above 2^31 as they are, and with
   * `flag-3` of the schedulers sh and mh. ipvsadm-restore reads that, with two exceptions: it refuses a
   * persistence (`-p`) above 2678400, and a weight (`-w`) above 65535 as upstream has it; Debian's
   * takes every weight. Without services: `''`.
   *
   * Services stand in the order of fwmark (those without one first), family (IPv4 first), protocol
   * (tcp, udp, sctp), address and port, each with its destinations in the order of family, address
   * and port. (ipvsadm-save sorts addresses and fwmarks that are 2^31 or more apart the other way
   * round.) Timeouts and synchronisation daemons are no rules.
   *
   * The table is read until two readings agree, as with `consistent` in {@link Ipvs.snapshot}.
   * Rejects with `ERR_IPVS_BAD_RULE` for what rules cannot say and only another program can have
   * made: another protocol, the forwarding `local` and `bypass`. Such a `service` is in the error.
   */
  save(options?: CallOptions): Promise<string>
  /**
   * Makes the table of rules, as `ipvsadm-restore` does, but checks every line before anything is sent,
   * and leaves alone what is as it should be: with {@link Ipvs.apply} and `prune`, so that services are
   * never away in between, and connections and counters stay.
   *
   * It reads what ipvsadm reads: long and short options in every spelling and order, numbers and
   * addresses as the C library reads them, and lines that are empty or begin with `#`. Lines are carried
   * out in order, so that `-E`, `-D`, `-e`, `-d` and `-C` may follow what they are about; then, on the
   * kernel, `--set`, `--start-daemon`, `--stop-daemon` and `-Z`. What prints (`-L`, `-S`, `-h`, `-v`) and
   * `-R` are refused. As in ipvsadm the port of a server that is not masqueraded is that of its
   * service, and a mask without `-p` has no effect.
   *
   * Rejects with `ERR_IPVS_BAD_RULE`, nothing sent, when lines are no rules: `line` is the first one,
   * and `errors` has one for each. That are also host and service names (`web:http`: `ipvsadm-save`
   * writes numbers with `-n`), what is added twice or is not there, and whatever {@link Ipvs.addService},
   * {@link Ipvs.addDestination} and their kind refuse, such as masks with holes. What the kernel
   * refuses does not stop the rest; afterwards the call rejects with the first such error, which has
   * all of them as `errors`, with the lines that asked. What serves and is in no line is kept then, as
   * {@link Ipvs.apply} does it, and in `errors` with `ERR_IPVS_HELD_BACK`.
   *
   * With `{ clear: false }` the lines are sent in order, with {@link Ipvs.batch}, to the table as it is:
   * what is there already is edited, where `ipvsadm -R` would leave it and go on. After a `-C` it is as
   * with `clear`.
   */
  restore(text: string, options?: RestoreOptions): Promise<void>
  /**
   * {@link save} into a file that ipvsadm-restore(8) reads as well, so that the table survives a reboot.
   * The file is written beside the old one, brought to the disk, and takes its name in one step: there
   * is always the old one or the new one, whole. An existing file keeps its mode and owner, a new one
   * gets mode 0644 without what the umask denies. A table without services is an empty line. Rejects as {@link save}, and with Node's
   * own file system errors (`EACCES`, `ENOENT`); `ELOOP` for a symbolic link, which is not followed.
   */
  saveToFile(path: string, options?: CallOptions): Promise<void>
  /**
   * {@link restore} from a file, which is read whole before anything is sent. A symbolic link is
   * followed. Rejects as {@link restore}, the path in the message, and with Node's own file system
   * errors; `EINVAL` for a pipe and whatever else is no regular file, which is not opened; `EFBIG` for
   * more than 256 MiB. A file that was cut short is refused with
   * `ERR_IPVS_BAD_RULE`: one that ends within a line (even where the rest reads as a rule) or is empty.
   * A cut exactly between two lines cannot be seen; files of {@link saveToFile} never are cut.
   */
  restoreFromFile(path: string, options?: RestoreOptions): Promise<void>
}
