import { testFamily } from '../support.ts';

testFamily('tp-attention');
