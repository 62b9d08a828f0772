import { testFamily } from '../support.ts';

testFamily('moe', { sparing: true });
