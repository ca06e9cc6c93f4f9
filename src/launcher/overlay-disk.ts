/** A disk whose changes stay in memory: what lies below it is only read. */
import { SECTOR_BYTES, type Disk } from './disk.js';

export class OverlayDisk implements Disk {
  readonly bytes: number;
  readonly readOnly: boolean;
  readonly id: string;
  /** Changed sectors by number. */
  readonly changes = new Map<number, Uint8Array>();

  /** `below` is closed with this disk. `readOnly`: as the guest sees it. */
  constructor(
    private readonly below: Disk,
    readOnly: boolean,
  ) {
    this.bytes = below.bytes;
    this.readOnly = readOnly;
    this.id = below.id;
  }

  read(offset: number, target: Uint8Array): void {
    this.below.read(offset, target);
    if (this.changes.size === 0) return;
    this.eachSector(offset, target.length, (number, inSector, inData, length) => {
      const changed = this.changes.get(number);
      if (changed) target.set(changed.subarray(inSector, inSector + length), inData);
    });
  }

  write(offset: number, source: Uint8Array): void {
    this.eachSector(offset, source.length, (number, inSector, inData, length) => {
      let sector = this.changes.get(number);
      if (!sector) {
        sector = new Uint8Array(SECTOR_BYTES);
        if (length < SECTOR_BYTES) this.below.read(number * SECTOR_BYTES, sector);
        this.changes.set(number, sector);
      }
      sector.set(source.subarray(inData, inData + length), inSector);
    });
  }

  private eachSector(
    offset: number,
    length: number,
    visit: (number: number, inSector: number, inData: number, length: number) => void,
  ): void {
    for (let done = 0; done < length;) {
      const number = Math.floor((offset + done) / SECTOR_BYTES);
      const inSector = (offset + done) % SECTOR_BYTES;
      const part = Math.min(SECTOR_BYTES - inSector, length - done);
      visit(number, inSector, done, part);
      done += part;
    }
  }

  flush(): void {}

  close(): void {
    this.below.close();
  }
}
