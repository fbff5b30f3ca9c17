pub mod db;
pub mod domain;
pub mod hub;
pub mod service;
