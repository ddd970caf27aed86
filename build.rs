//! Rules and queries are embedded: a new or changed file must reach the binary.
fn main() {
    println!("cargo::rerun-if-changed=queries");
}
