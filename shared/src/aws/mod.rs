//! The drivers of AWS: the only folder with SDK types. None of them knows what it carries.

pub mod backups;
pub mod clients;
pub mod dynamo;
pub mod emf;
pub mod kms;
pub mod s3;
pub mod tls;
