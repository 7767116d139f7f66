//! AWS drivers: the only folder with SDK types. They do not know what they carry.

pub mod backups;
pub mod clients;
pub mod dynamo;
pub mod emf;
pub mod kms;
pub mod s3;
pub mod tls;
