fn main() -> Result<(), lambda_runtime::Error> {
    shared::runtime::run(|app, event| Box::pin(console::handle(app, event)))
}
