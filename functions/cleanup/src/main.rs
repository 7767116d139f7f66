fn main() -> Result<(), lambda_runtime::Error> {
    shared::runtime::run(|app, event| Box::pin(cleanup::handle(app, event)))
}
