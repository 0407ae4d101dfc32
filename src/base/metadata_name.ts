/** Name of the file or object that describes a node of a Zarr v3 hierarchy. */
export const METADATA_NAME = "zarr.json";
