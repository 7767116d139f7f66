fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::run(|app, event| Box::pin(console::handle(app, event)))
}
