/** What a request to S3 asks for, worked out from its method, its path (bucket in front) and its query. */
export interface S3Operation {
  /** As S3 names it: "PutObject", "UploadPart". "Other" when it is none of those below. */
  readonly operation: string;
  readonly bucket: string;
  /** Empty for a bucket's own operations. */
  readonly key: string;
  readonly query: URLSearchParams;
}

export function s3Operation(method: string, url: string, headers: Readonly<Record<string, unknown>>): S3Operation {
  const mark = url.indexOf("?");
  const path = mark < 0 ? url : url.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1));
  const slash = path.indexOf("/", 1);
  const bucket = decodeURIComponent(slash < 0 ? path.slice(1) : path.slice(1, slash));
  const key = slash < 0 ? "" : decodeURIComponent(path.slice(slash + 1));
  const copies = "x-amz-copy-source" in headers;
  const named = key !== "" ? objectOperation(method, query, copies) : bucketOperation(method, bucket, query);
  return { operation: named ?? "Other", bucket, key, query };
}

function objectOperation(method: string, query: URLSearchParams, copies: boolean): string | undefined {
  const ofUpload = query.has("uploadId");
  switch (method) {
    case "GET":
      return ofUpload ? "ListParts" : "GetObject";
    case "HEAD":
      return "HeadObject";
    case "PUT":
      if (ofUpload) return copies ? "UploadPartCopy" : "UploadPart";
      return copies ? "CopyObject" : "PutObject";
    case "POST":
      if (query.has("uploads")) return "CreateMultipartUpload";
      return ofUpload ? "CompleteMultipartUpload" : undefined;
    case "DELETE":
      return ofUpload ? "AbortMultipartUpload" : "DeleteObject";
  }
  return undefined;
}

function bucketOperation(method: string, bucket: string, query: URLSearchParams): string | undefined {
  if (bucket === "") return method === "GET" ? "ListBuckets" : undefined;
  switch (method) {
    case "GET":
      if (query.has("uploads")) return "ListMultipartUploads";
      if (query.has("location")) return "GetBucketLocation";
      if (query.get("list-type") === "2") return "ListObjectsV2";
      return "ListObjects";
    case "HEAD":
      return "HeadBucket";
    case "PUT":
      return "CreateBucket";
    case "POST":
      return query.has("delete") ? "DeleteObjects" : undefined;
    case "DELETE":
      return "DeleteBucket";
  }
  return undefined;
}
