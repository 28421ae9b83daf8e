// The memories of the chip in one buffer, so that code is fetched from one array wherever it lies.

export const FLASH_SIZE = 2 * 1024 * 1024; // of a Raspberry Pi Pico (W25Q16JV)
export const ROM_SIZE = 16 * 1024;
export const SRAM_SIZE = 264 * 1024;
const RAM_WINDOW = 512 * 1024; // the interpreter masks addresses with it; behind the SRAM nothing is used

const NOWHERE = 0x40000000; // beyond the buffer: what is fetched there decodes as no instruction

export class Memory {
  constructor() {
    const buffer = new ArrayBuffer(FLASH_SIZE + RAM_WINDOW + ROM_SIZE);
    const ram = FLASH_SIZE;
    const rom = FLASH_SIZE + RAM_WINDOW;
    this.flash8 = new Uint8Array(buffer, 0, FLASH_SIZE).fill(0xff);
    this.flash16 = new Uint16Array(buffer, 0, FLASH_SIZE / 2);
    this.flash32 = new Int32Array(buffer, 0, FLASH_SIZE / 4);
    this.ram8 = new Uint8Array(buffer, ram, RAM_WINDOW);
    this.ram16 = new Uint16Array(buffer, ram, RAM_WINDOW / 2);
    this.ram32 = new Int32Array(buffer, ram, RAM_WINDOW / 4);
    this.rom32 = new Uint32Array(buffer, rom, ROM_SIZE / 4);
    this.rom8 = new Uint8Array(buffer, rom, ROM_SIZE);
    this.code = new Uint16Array(buffer);
    // For the top four bits of an address of code: what to add to get its place in the buffer.
    this.fetch = new Int32Array(16).fill(NOWHERE);
    this.fetch[0] = rom;
    this.fetch[1] = -0x10000000;
    this.fetch[2] = ram - 0x20000000;
  }

  /** Makes the arrays of `chip` views of this memory. */
  serve(chip) {
    chip.bootrom = this.rom32;
    chip.flash = this.flash8;
    chip.flash16 = this.flash16;
    chip.flashView = new DataView(this.flash8.buffer, 0, FLASH_SIZE);
    chip.sram = this.ram8.subarray(0, SRAM_SIZE);
    chip.sramView = new DataView(this.ram8.buffer, this.ram8.byteOffset, SRAM_SIZE);
  }
}
