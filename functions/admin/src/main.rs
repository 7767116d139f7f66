fn main() -> Result<(), lambda_runtime::Error> {
    shared::runtime::run(|app, event| Box::pin(admin::handle(app, event)))
}
