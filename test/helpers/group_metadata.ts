/** zarr.json of a group without attributes, as other programs write it. */
export const GROUP_METADATA = new TextEncoder().encode(
  JSON.stringify({ zarr_format: 3, node_type: "group", attributes: {} }),
);
