// What is attached to a chip each time it comes out of reset, in this order.

import { attach as attachAdc } from './adc.mjs';
import { attach as attachBench } from './bench.mjs';
import { attach as attachDma } from './dma.mjs';
import { attach as attachGpio } from './gpio.mjs';
import { attach as attachPio } from './pio.mjs';
import { attach as attachPwm } from './pwm.mjs';
import { attach as attachResets } from './resets.mjs';
import { attach as attachSpi } from './spi.mjs';

export const MODULES = [attachGpio, attachDma, attachPwm, attachAdc, attachPio, attachSpi, attachResets, attachBench];
