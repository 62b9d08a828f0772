/** The package types its main entry only; this is the ES module that Node can load. */
declare module 'wgsl_reflect/wgsl_reflect.module.js' {
  export * from 'wgsl_reflect';
}
