import { testFamily } from './support.ts';

testFamily('moe');
