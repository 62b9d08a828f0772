import { testFamily } from '../support.ts';

testFamily('rms-norm');
