import { testFamily } from '../support.ts';

testFamily('gate-topk');
