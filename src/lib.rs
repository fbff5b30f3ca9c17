pub mod db;
pub mod domain;
pub mod http;
pub mod hub;
pub mod service;
